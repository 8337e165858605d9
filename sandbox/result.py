"""What a researcher holds after a job: the answer with its error bars, and the receipt's file."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.jobs import JobSpec
from sandbox.messages import text
from sandbox.sql.answer import Answer

if TYPE_CHECKING:
    import pandas
    import pyarrow


@dataclass(frozen=True, repr=False)
class Result:
    """An opened job. `left_out`: members that did not take part. `noised`: the released integers,
    from which anyone with the plan can compute the answer again."""

    spec: JobSpec
    answer: Answer
    receipt: Path
    left_out: tuple[str, ...]
    noised: tuple[int, ...]

    @property
    def job_id(self) -> str:
        """The job's id, for `sandbox result ID`."""
        return self.spec.job

    @property
    def epsilon(self) -> Decimal:
        """Epsilon that was spent."""
        return self.spec.epsilon_value

    @property
    def delta(self) -> Decimal:
        """Delta that was spent."""
        return self.spec.delta_value

    def to_arrow(self) -> pyarrow.Table:
        """Return a table: group columns, then for each output x: x, x_low, x_high."""
        import pyarrow as pa

        return pa.table(self.columns())

    def to_pandas(self) -> pandas.DataFrame:
        """Return a data frame with the columns of `to_arrow`; needs pandas installed."""
        import pandas as pd

        return pd.DataFrame(self.columns())

    def columns(self) -> dict[str, list[Any]]:
        """Return the answer by column, error bars beside each estimate."""
        columns: dict[str, list[Any]] = {}
        for position, name in enumerate(self.answer.columns):
            estimates = [row.estimates[position] for row in self.answer.rows]
            if not self.answer.computed[position]:
                columns[name] = [row.values[position] for row in self.answer.rows]
                continue
            columns[name] = [estimate.value for estimate in estimates if estimate]
            columns[f"{name}_low"] = [estimate.low for estimate in estimates if estimate]
            columns[f"{name}_high"] = [estimate.high for estimate in estimates if estimate]
        return columns

    def remarks(self) -> list[str]:
        """Return what belongs beside the rows, a sentence each: the level of the error bars, groups
        that a rule withholds, parties that took no part, whether the coordinator was checked, what was
        spent."""
        spoken = []
        if levels := self._levels():
            spoken.append(text("query.levels", levels=levels))
        spoken += [text("query.withheld", **vars(rule)) for rule in self.answer.withheld]
        if self.left_out:
            spoken.append(text("query.left_out", parties=", ".join(self.left_out)))
        if self.spec.verify:
            spoken.append(text("query.verified"))
        paid = {"epsilon": self.epsilon, "delta": self.delta}
        spoken.append(text("query.spent", **paid, receipt=self.receipt, job=self.job_id))
        return spoken

    def _levels(self) -> str:
        """Return each column's level, as "COUNT(*) 95.4%"; lattice noise cannot hit 95% everywhere."""
        found: dict[str, set[str]] = {}
        for row in self.answer.rows:
            for name, estimate in zip(self.answer.columns, row.estimates, strict=True):
                if estimate is not None:
                    found.setdefault(name, set()).add(f"{estimate.level:.1%}")
        return ", ".join(f"{name} {'–'.join(sorted(levels))}" for name, levels in found.items())

    def __repr__(self) -> str:
        spent = f"epsilon={self.epsilon}, delta={self.delta}"
        rows = len(self.answer.rows)
        return f"Result(job={self.job_id!r}, rows={rows}, {spent}, receipt={str(self.receipt)!r})"

    def _repr_html_(self) -> str:
        columns = self.columns()
        head = "".join(f"<th>{escape(name)}</th>" for name in columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(_shown(value))}</td>" for value in row) + "</tr>"
            for row in zip(*columns.values(), strict=True)
        )
        foot = "<br>".join(escape(remark) for remark in self.remarks())
        return f"<table><tr>{head}</tr>{rows}</table><small>{foot}</small>"


def _shown(value: object) -> str:
    if value is None:
        return "—"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
