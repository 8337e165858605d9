from sandbox.rpc import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Description(_message.Message):
    __slots__ = ("identity", "version", "datasets", "collections", "awaiting_witness", "time", "policies")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    AWAITING_WITNESS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    identity: bytes
    version: str
    datasets: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    collections: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    awaiting_witness: bytes
    time: int
    policies: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    def __init__(self, identity: _Optional[bytes] = ..., version: _Optional[str] = ..., datasets: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ..., collections: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ..., awaiting_witness: _Optional[bytes] = ..., time: _Optional[int] = ..., policies: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ...) -> None: ...

class ContextPart(_message.Message):
    __slots__ = ("digest", "ring", "chunk")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RING_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    digest: str
    ring: str
    chunk: bytes
    def __init__(self, digest: _Optional[str] = ..., ring: _Optional[str] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class OfferRequest(_message.Message):
    __slots__ = ("job", "attempt")
    JOB_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    job: _common_pb2.Document
    attempt: int
    def __init__(self, job: _Optional[_Union[_common_pb2.Document, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class OfferReply(_message.Message):
    __slots__ = ("offer", "wait", "problem")
    OFFER_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    offer: _common_pb2.Document
    wait: Wait
    problem: _common_pb2.Problem
    def __init__(self, offer: _Optional[_Union[_common_pb2.Document, _Mapping]] = ..., wait: _Optional[_Union[Wait, _Mapping]] = ..., problem: _Optional[_Union[_common_pb2.Problem, _Mapping]] = ...) -> None: ...

class Wait(_message.Message):
    __slots__ = ("reason",)
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[Wait.Reason]
        APPROVAL: _ClassVar[Wait.Reason]
        WITNESS: _ClassVar[Wait.Reason]
        CONTEXT: _ClassVar[Wait.Reason]
    UNKNOWN: Wait.Reason
    APPROVAL: Wait.Reason
    WITNESS: Wait.Reason
    CONTEXT: Wait.Reason
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: Wait.Reason
    def __init__(self, reason: _Optional[_Union[Wait.Reason, str]] = ...) -> None: ...

class SignRosterRequest(_message.Message):
    __slots__ = ("job", "roster", "offers")
    JOB_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    OFFERS_FIELD_NUMBER: _ClassVar[int]
    job: _common_pb2.Document
    roster: bytes
    offers: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    def __init__(self, job: _Optional[_Union[_common_pb2.Document, _Mapping]] = ..., roster: _Optional[bytes] = ..., offers: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ...) -> None: ...

class ComputeRequest(_message.Message):
    __slots__ = ("job_digest", "roster")
    JOB_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    job_digest: str
    roster: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    def __init__(self, job_digest: _Optional[str] = ..., roster: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ...) -> None: ...

class SharePart(_message.Message):
    __slots__ = ("release", "chunk", "problem")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    release: _common_pb2.Document
    chunk: bytes
    problem: _common_pb2.Problem
    def __init__(self, release: _Optional[_Union[_common_pb2.Document, _Mapping]] = ..., chunk: _Optional[bytes] = ..., problem: _Optional[_Union[_common_pb2.Problem, _Mapping]] = ...) -> None: ...

class JoinPart(_message.Message):
    __slots__ = ("start", "frame", "committed", "problem", "share")
    START_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    start: ComputeRequest
    frame: JoinFrame
    committed: _common_pb2.Empty
    problem: _common_pb2.Problem
    share: SharePart
    def __init__(self, start: _Optional[_Union[ComputeRequest, _Mapping]] = ..., frame: _Optional[_Union[JoinFrame, _Mapping]] = ..., committed: _Optional[_Union[_common_pb2.Empty, _Mapping]] = ..., problem: _Optional[_Union[_common_pb2.Problem, _Mapping]] = ..., share: _Optional[_Union[SharePart, _Mapping]] = ...) -> None: ...

class JoinFrame(_message.Message):
    __slots__ = ("party", "payload")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    party: str
    payload: bytes
    def __init__(self, party: _Optional[str] = ..., payload: _Optional[bytes] = ...) -> None: ...

class EvidenceRequest(_message.Message):
    __slots__ = ("job_digest", "since")
    JOB_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    job_digest: str
    since: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, job_digest: _Optional[str] = ..., since: _Optional[_Iterable[int]] = ...) -> None: ...

class EvidenceReply(_message.Message):
    __slots__ = ("head", "entries", "consistency")
    class ConsistencyEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: Proof
        def __init__(self, key: _Optional[int] = ..., value: _Optional[_Union[Proof, _Mapping]] = ...) -> None: ...
    HEAD_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    head: _common_pb2.Document
    entries: _containers.RepeatedCompositeFieldContainer[LogEntry]
    consistency: _containers.MessageMap[int, Proof]
    def __init__(self, head: _Optional[_Union[_common_pb2.Document, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[LogEntry, _Mapping]]] = ..., consistency: _Optional[_Mapping[int, Proof]] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("entry", "body", "inclusion")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_FIELD_NUMBER: _ClassVar[int]
    entry: bytes
    body: bytes
    inclusion: Proof
    def __init__(self, entry: _Optional[bytes] = ..., body: _Optional[bytes] = ..., inclusion: _Optional[_Union[Proof, _Mapping]] = ...) -> None: ...

class Proof(_message.Message):
    __slots__ = ("hashes",)
    HASHES_FIELD_NUMBER: _ClassVar[int]
    hashes: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, hashes: _Optional[_Iterable[bytes]] = ...) -> None: ...

class WitnessRequest(_message.Message):
    __slots__ = ("head", "identity", "since", "consistency")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    head: _common_pb2.Document
    identity: bytes
    since: int
    consistency: Proof
    def __init__(self, head: _Optional[_Union[_common_pb2.Document, _Mapping]] = ..., identity: _Optional[bytes] = ..., since: _Optional[int] = ..., consistency: _Optional[_Union[Proof, _Mapping]] = ...) -> None: ...

class WitnessReply(_message.Message):
    __slots__ = ("cosignature", "recorded_size")
    COSIGNATURE_FIELD_NUMBER: _ClassVar[int]
    RECORDED_SIZE_FIELD_NUMBER: _ClassVar[int]
    cosignature: _common_pb2.Document
    recorded_size: int
    def __init__(self, cosignature: _Optional[_Union[_common_pb2.Document, _Mapping]] = ..., recorded_size: _Optional[int] = ...) -> None: ...

class LastHeadRequest(_message.Message):
    __slots__ = ("log", "nonce")
    LOG_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    log: str
    nonce: bytes
    def __init__(self, log: _Optional[str] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class ConfirmHeadRequest(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    def __init__(self, answers: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ...) -> None: ...

class ConfirmHeadReply(_message.Message):
    __slots__ = ("confirmed",)
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    confirmed: bool
    def __init__(self, confirmed: _Optional[bool] = ...) -> None: ...
