"""The demo's data: machine records (AI4I 2020, see ATTRIBUTION.md) as three firms would hold them.

Horizontally: each product type is one firm's table `machines`, together one collection. Vertically:
`sensors` and `failures` hold the two halves of every record under the key `udi`, and `quality` its
product type once more.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from importlib import resources
from pathlib import Path

from sandbox.catalog import Column, ColumnType, DatasetCard, Grade

FIRMS = {"a": "L", "b": "M", "c": "H"}
"""Node and the product type whose machines it keeps."""
SOURCE_COLUMNS = {
    "udi": "UDI",
    "product_type": "Type",
    "air_temperature_k": "Air temperature [K]",
    "process_temperature_k": "Process temperature [K]",
    "rotational_speed_rpm": "Rotational speed [rpm]",
    "torque_nm": "Torque [Nm]",
    "tool_wear_min": "Tool wear [min]",
    "machine_failure": "Machine_failure",
    "tool_wear_failure": "TWF",
    "heat_dissipation_failure": "HDF",
    "power_failure": "PWF",
    "overstrain_failure": "OSF",
    "random_failure": "RNF",
}
SENSOR_SIDE = tuple(SOURCE_COLUMNS)[:7]
FAILURE_SIDE = ("udi", *tuple(SOURCE_COLUMNS)[7:])

_Text = dict[str, str]


def _number(
    name: str, unit: str, bounds: tuple[int, int], scale: int, typical: tuple[int, int], text: _Text
) -> Column:
    """Return a measured column. `typical`: its magnitude and spread."""
    return Column(
        name,
        ColumnType.DECIMAL if scale else ColumnType.INTEGER,
        unit=unit,
        lower=Decimal(bounds[0]),
        upper=Decimal(bounds[1]),
        scale=scale,
        magnitude=Decimal(typical[0]),
        spread=Decimal(typical[1]),
        description=text,
    )


def _flag(name: str, description: _Text) -> Column:
    return Column(name, ColumnType.BOOLEAN, description=description)


_AIR = {"en": "air temperature", "zh": "环境温度"}
_PROCESS = {"en": "process temperature", "zh": "过程温度"}
_SPEED = {"en": "rotational speed", "zh": "转速"}
_WEAR = {"en": "tool wear", "zh": "刀具磨损时间"}
COLUMNS = (
    Column(
        "udi",
        ColumnType.INTEGER,
        Grade.L3,
        lower=Decimal(1),
        upper=Decimal(1_000_000),
        join_key=True,
        description={"en": "machine number", "zh": "设备编号"},
    ),
    Column(
        "product_type",
        ColumnType.TEXT,
        Grade.L1,
        domain=("H", "L", "M"),
        description={"en": "quality variant: high, low, medium", "zh": "质量等级：高、低、中"},
    ),
    _number("air_temperature_k", "K", (290, 310), 1, (300, 2), _AIR),
    _number("process_temperature_k", "K", (300, 320), 1, (310, 2), _PROCESS),
    _number("rotational_speed_rpm", "1/min", (1000, 3000), 0, (1500, 200), _SPEED),
    _number("torque_nm", "N·m", (0, 80), 1, (40, 10), {"en": "torque", "zh": "扭矩"}),
    _number("tool_wear_min", "min", (0, 255), 0, (100, 60), _WEAR),
    _flag("machine_failure", {"en": "the machine failed", "zh": "设备发生故障"}),
    _flag("tool_wear_failure", {"en": "failed by tool wear", "zh": "刀具磨损故障"}),
    _flag("heat_dissipation_failure", {"en": "failed by heat", "zh": "散热故障"}),
    _flag("power_failure", {"en": "failed by power", "zh": "功率故障"}),
    _flag("overstrain_failure", {"en": "failed by overstrain", "zh": "过载故障"}),
    _flag("random_failure", {"en": "failed at random", "zh": "随机故障"}),
)

MACHINES = DatasetCard(
    name="machines",
    columns=COLUMNS,
    privacy_unit="udi",
    row_bound=10_000,
    unit_domain="machine",
    typical_rows=3_000,
    description={"en": "Machines and their failures", "zh": "设备运行与故障记录"},
)
SENSORS = replace(
    MACHINES,
    name="sensors",
    columns=tuple(column for column in COLUMNS if column.name in SENSOR_SIDE),
    row_bound=20_000,
    typical_rows=10_000,
    description={"en": "What the sensors of each machine saw", "zh": "各设备的传感器读数"},
)
FAILURES = replace(
    SENSORS,
    name="failures",
    columns=tuple(column for column in COLUMNS if column.name in FAILURE_SIDE),
    description={"en": "Which machines failed, and how", "zh": "各设备的故障类型"},
)
QUALITY = replace(
    SENSORS,
    name="quality",
    columns=COLUMNS[:2],
    description={"en": "The quality variant of each machine", "zh": "各设备的质量等级"},
)

JOINED = {"a": SENSORS, "b": FAILURES, "c": QUALITY}
"""Node and its part of every record."""


def records() -> list[dict[str, str]]:
    """Return all records, columns named as on the cards."""
    file = resources.files(__package__) / "ai4i2020.csv"
    with file.open(encoding="utf-8-sig") as opened:
        return [
            {name: row[source] for name, source in SOURCE_COLUMNS.items()}
            for row in csv.DictReader(opened)
        ]


def write_rows(path: Path, rows: Iterable[dict[str, str]], columns: Sequence[str]) -> None:
    """Write `columns` of `rows` as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
