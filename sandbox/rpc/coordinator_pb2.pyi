from sandbox.rpc import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NodeStatus(_message.Message):
    __slots__ = ("identity", "version", "address", "reachable", "last_seen", "clock_skew_ms", "confirmed", "problem")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    CLOCK_SKEW_MS_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    identity: bytes
    version: str
    address: str
    reachable: bool
    last_seen: int
    clock_skew_ms: int
    confirmed: bool
    problem: _common_pb2.Problem
    def __init__(self, identity: _Optional[bytes] = ..., version: _Optional[str] = ..., address: _Optional[str] = ..., reachable: _Optional[bool] = ..., last_seen: _Optional[int] = ..., clock_skew_ms: _Optional[int] = ..., confirmed: _Optional[bool] = ..., problem: _Optional[_Union[_common_pb2.Problem, _Mapping]] = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("identity", "version", "nodes", "time")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    identity: bytes
    version: str
    nodes: _containers.RepeatedCompositeFieldContainer[NodeStatus]
    time: int
    def __init__(self, identity: _Optional[bytes] = ..., version: _Optional[str] = ..., nodes: _Optional[_Iterable[_Union[NodeStatus, _Mapping]]] = ..., time: _Optional[int] = ...) -> None: ...

class CatalogueReply(_message.Message):
    __slots__ = ("identities", "datasets", "collections", "policies")
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedScalarFieldContainer[bytes]
    datasets: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    collections: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    policies: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    def __init__(self, identities: _Optional[_Iterable[bytes]] = ..., datasets: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ..., collections: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ..., policies: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ...) -> None: ...

class UploadPart(_message.Message):
    __slots__ = ("digest", "ring", "chunk")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RING_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    digest: str
    ring: str
    chunk: bytes
    def __init__(self, digest: _Optional[str] = ..., ring: _Optional[str] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class JobRequest(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: str
    def __init__(self, job: _Optional[str] = ...) -> None: ...

class Waiting(_message.Message):
    __slots__ = ("party", "reason", "since")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    party: str
    reason: str
    since: int
    def __init__(self, party: _Optional[str] = ..., reason: _Optional[str] = ..., since: _Optional[int] = ...) -> None: ...

class JoinProgress(_message.Message):
    __slots__ = ("party", "phase", "done", "total", "moved", "all")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    party: str
    phase: str
    done: int
    total: int
    moved: int
    all: int
    def __init__(self, party: _Optional[str] = ..., phase: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., moved: _Optional[int] = ..., all: _Optional[int] = ...) -> None: ...

class JobState(_message.Message):
    __slots__ = ("job", "phase", "statement", "created", "changed", "deadline", "waiting", "problem", "members", "left_out", "untold", "begun", "progress")
    JOB_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    UNTOLD_FIELD_NUMBER: _ClassVar[int]
    BEGUN_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    job: str
    phase: str
    statement: str
    created: int
    changed: int
    deadline: int
    waiting: _containers.RepeatedCompositeFieldContainer[Waiting]
    problem: _common_pb2.Problem
    members: _containers.RepeatedScalarFieldContainer[str]
    left_out: _containers.RepeatedScalarFieldContainer[str]
    untold: _containers.RepeatedScalarFieldContainer[str]
    begun: bool
    progress: _containers.RepeatedCompositeFieldContainer[JoinProgress]
    def __init__(self, job: _Optional[str] = ..., phase: _Optional[str] = ..., statement: _Optional[str] = ..., created: _Optional[int] = ..., changed: _Optional[int] = ..., deadline: _Optional[int] = ..., waiting: _Optional[_Iterable[_Union[Waiting, _Mapping]]] = ..., problem: _Optional[_Union[_common_pb2.Problem, _Mapping]] = ..., members: _Optional[_Iterable[str]] = ..., left_out: _Optional[_Iterable[str]] = ..., untold: _Optional[_Iterable[str]] = ..., begun: _Optional[bool] = ..., progress: _Optional[_Iterable[_Union[JoinProgress, _Mapping]]] = ...) -> None: ...

class JobsRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class JobsReply(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobState]
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobState, _Mapping]]] = ...) -> None: ...

class ResultPart(_message.Message):
    __slots__ = ("sum", "receipt")
    SUM_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    sum: bytes
    receipt: bytes
    def __init__(self, sum: _Optional[bytes] = ..., receipt: _Optional[bytes] = ...) -> None: ...

class BudgetReply(_message.Message):
    __slots__ = ("statements", "problems")
    STATEMENTS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    statements: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    problems: _containers.RepeatedCompositeFieldContainer[_common_pb2.Problem]
    def __init__(self, statements: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ..., problems: _Optional[_Iterable[_Union[_common_pb2.Problem, _Mapping]]] = ...) -> None: ...

class EnrolRequest(_message.Message):
    __slots__ = ("token", "csr", "identity", "proof", "address")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CSR_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    token: str
    csr: bytes
    identity: bytes
    proof: _common_pb2.Document
    address: str
    def __init__(self, token: _Optional[str] = ..., csr: _Optional[bytes] = ..., identity: _Optional[bytes] = ..., proof: _Optional[_Union[_common_pb2.Document, _Mapping]] = ..., address: _Optional[str] = ...) -> None: ...

class EnrolReply(_message.Message):
    __slots__ = ("certificate", "authority", "coordinator")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    authority: bytes
    coordinator: bytes
    def __init__(self, certificate: _Optional[bytes] = ..., authority: _Optional[bytes] = ..., coordinator: _Optional[bytes] = ...) -> None: ...
