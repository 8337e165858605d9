"""`python -m sandbox`: the command line."""

from sandbox.cli.app import main

if __name__ == "__main__":
    main()
