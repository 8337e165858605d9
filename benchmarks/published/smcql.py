"""The workload of SMCQL (github.com/smcql/smcql, MIT) on its test database: two hospitals.

Both know some of the same patients. SMCQL's set-up makes a registry of the cohort in the clear; here it
is a third provider. What a statement of SMCQL asks of rows of both tables at both hospitals, ours ask
hospital by hospital and pair by pair: providers match two tables of different owners.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb

from benchmarks.published.model import OCCURRING, Dataset, Statement, Workload, occurring, text
from sandbox.catalog import Column, ColumnType, DatasetCard

SITES = ("site1", "site2")
CHARTS, ROWS, ROWS_PER_PATIENT = 50, 100, 4
YEAR = 2006
DIAGNOSES = (
    "patient_id", "site", "year", "month", "visit_no", "type_", "encounter_id", "diag_src", "icd9",
    "primary_", "timestamp_", "clean_icd9", "major_icd9",
)  # fmt: skip
MEDICATIONS = (
    "patient_id", "site", "year", "month", "medication", "dosage", "route", "timestamp_",
)  # fmt: skip
TEXTS = frozenset(DIAGNOSES[7:] + MEDICATIONS[4:]) - {"primary_"}

COMORBIDITY = """SELECT d.major_icd9, COUNT(*) AS cnt FROM {cdiff_cohort_diagnoses} d
GROUP BY d.major_icd9 ORDER BY COUNT(*) DESC LIMIT 10"""
COMORBIDITY_JOINED = """SELECT d.major_icd9, COUNT(*) AS cnt FROM {diagnoses} d
JOIN {cdiff_cohort} c ON d.patient_id = c.patient_id
GROUP BY d.major_icd9 ORDER BY COUNT(*) DESC LIMIT 10"""
ASPIRIN = """SELECT COUNT(DISTINCT d.patient_id) AS rx_cnt FROM {diagnoses} d
JOIN {medications} m ON d.patient_id = m.patient_id WHERE lower(m.medication) LIKE '%aspirin%'
AND d.icd9 LIKE '414%' AND d.timestamp_ <= m.timestamp_"""
ASPIRIN_COUNTS = (
    "SELECT COUNT(*) FROM site1.heart WHERE treated",
    """SELECT COUNT(*) FROM site2.heart h LEFT JOIN site1.heart o ON h.patient_id = o.patient_id
WHERE h.treated AND o.treated IS NOT TRUE""",
    """SELECT COUNT(*) FILTER (WHERE h.mi_month < o.aspirin_month)
+ COUNT(*) FILTER (WHERE o.mi_month < h.aspirin_month)
FROM site1.heart h JOIN site2.heart o ON h.patient_id = o.patient_id
WHERE NOT h.treated AND NOT o.treated""",
    *(
        f"""SELECT COUNT(*) FROM {one}.heart h JOIN {other}.heart o ON h.patient_id = o.patient_id
AND h.mi_month = o.aspirin_month WHERE NOT h.treated AND NOT o.treated AND h.mi_day <= o.aspirin_day"""
        for one, other in (SITES, SITES[::-1])
    ),
)
WHY_ASPIRIN = """Each hospital's view has, for each patient, the first diagnosis and the last dose: one
pair of them decides. Patients whom the first hospital saw treated are counted, then those whom the
second alone did, then those for whom it takes a date of each hospital: months apart, or days of one
month, since a comparison of days of a year would take a column for each. A patient is in one of the
counts, so that their sum is exact."""
RECURRENT = """WITH diags AS (SELECT patient_id, timestamp_,
row_number() OVER (PARTITION BY patient_id ORDER BY timestamp_) AS r FROM {diagnoses}
WHERE icd9 = '008.45') SELECT DISTINCT d1.patient_id FROM diags d1 JOIN diags d2
ON d1.patient_id = d2.patient_id WHERE date_diff('day', d1.timestamp_, d2.timestamp_) >= 15
AND date_diff('day', d1.timestamp_, d2.timestamp_) <= 56 AND d1.r + 1 = d2.r"""
RECURRENT_JOINED = (
    *(
        f"""SELECT f.chart FROM {one}.cdiff_first f JOIN {other}.cdiff_second s
ON f.patient_id = s.patient_id AND f.first_day = s.first_day AND f.second_day = s.second_day
GROUP BY f.chart HAVING COUNT(*) > 0"""
        for one, other in (SITES, SITES[::-1])
    ),
    *(
        f"""SELECT chart FROM {site}.cdiff_pairs WHERE gap BETWEEN 15 AND 56
GROUP BY chart HAVING COUNT(*) > 0"""
        for site in SITES
    ),
)
WHY_RECURRENT = """Views list, for each diagnosis, the days on which one before or after it would make
the pair, up to the hospital's own next one; where both hospitals list a pair it is one. One hospital's
own pair counts although the other may have a diagnosis in between: to ask for that, all pairs of days
would have to be keys. A patient's identifier cannot be grouped by; the chart's number, with its declared
domain, is a column of its own. What any of the four finds is found."""

_DAYS = "SELECT DISTINCT patient_id, timestamp_::DATE AS day FROM diagnoses WHERE icd9 = '008.45'"
_ORDERED = f"""SELECT patient_id, day, lead(day) OVER (PARTITION BY patient_id ORDER BY day) AS later,
lag(day) OVER (PARTITION BY patient_id ORDER BY day) AS earlier FROM ({_DAYS})"""
FIRST_VIEW = f"""SELECT patient_id, patient_id AS chart, day AS first_day,
day + gap::INTEGER AS second_day FROM ({_ORDERED}), range(15, 57) AS gaps (gap)
WHERE later IS NULL OR later > day + gap::INTEGER"""
SECOND_VIEW = f"""SELECT patient_id, patient_id AS chart, day - gap::INTEGER AS first_day,
day AS second_day FROM ({_ORDERED}), range(15, 57) AS gaps (gap)
WHERE earlier IS NULL OR earlier < day - gap::INTEGER"""
PAIRS_VIEW = f"""SELECT patient_id, patient_id AS chart, later - day AS gap
FROM ({_ORDERED})"""
HEART_VIEW = f"""SELECT coalesce(d.patient_id, m.patient_id) AS patient_id,
12 * (year(mi) - {YEAR}) + month(mi) AS mi_month, day(mi) AS mi_day,
12 * (year(aspirin) - {YEAR}) + month(aspirin) AS aspirin_month, day(aspirin) AS aspirin_day,
coalesce(mi <= aspirin, false) AS treated FROM (
SELECT patient_id, min(timestamp_) AS mi FROM diagnoses WHERE icd9 LIKE '414%' GROUP BY 1) d FULL JOIN (
SELECT patient_id, max(timestamp_) AS aspirin FROM medications
WHERE lower(medication) LIKE '%aspirin%' GROUP BY 1) m ON d.patient_id = m.patient_id"""


def _whole(name: str, low: int, high: int, key: bool = False) -> Column:
    low_, high_ = Decimal(low), Decimal(high)
    return Column(name, ColumnType.INTEGER, lower=low_, upper=high_, nullable=True, join_key=key)


PATIENT = Column("patient_id", ColumnType.INTEGER, join_key=True, multiplicity=ROWS_PER_PATIENT)
ONCE = replace(PATIENT, multiplicity=1)
CHART = Column("chart", ColumnType.INTEGER, domain=tuple(range(1, CHARTS + 1)))
DIAGNOSIS = DatasetCard(
    "diagnoses",
    (PATIENT, text("icd9"), text("major_icd9", "008", "410", "414", "250"),
     Column("timestamp_", ColumnType.TIMESTAMP)),
    "patient_id", ROWS, contribution_cap=ROWS_PER_PATIENT, units_span_nodes=True,
)  # fmt: skip
MEDICATION = DatasetCard(
    "medications",
    (PATIENT, text("medication"), Column("timestamp_", ColumnType.TIMESTAMP)),
    "patient_id", ROWS, contribution_cap=ROWS_PER_PATIENT, units_span_nodes=True,
)  # fmt: skip
COHORT = DatasetCard("cdiff_cohort", (ONCE,), "patient_id", CHARTS)
HEART = DatasetCard(
    "heart",
    (ONCE, _whole("mi_month", 1, 12, key=True), _whole("mi_day", 1, 31),
     _whole("aspirin_month", 1, 12, key=True), _whole("aspirin_day", 1, 31),
     Column("treated", ColumnType.BOOLEAN)),
    "patient_id", CHARTS,
)  # fmt: skip


def _listed(name: str, per_diagnosis: int, *more: Column) -> DatasetCard:
    """Return the card of a view with so many rows for each diagnosis."""
    rows = per_diagnosis * ROWS_PER_PATIENT
    patient = replace(PATIENT, multiplicity=rows)
    return DatasetCard(
        name, (patient, CHART, *more), "patient_id", per_diagnosis * ROWS, contribution_cap=rows
    )


DAYS = tuple(
    Column(day, ColumnType.DATE, join_key=True, multiplicity=1)
    for day in ("first_day", "second_day")
)


def _site(site: str) -> tuple[Dataset, ...]:
    return (
        Dataset(site, DIAGNOSIS, f"{site}_diagnoses"),
        Dataset(site, MEDICATION, f"{site}_medications"),
        Dataset(site, HEART, view=HEART_VIEW),
        Dataset(site, _listed("cdiff_first", 42, *DAYS), view=FIRST_VIEW),
        Dataset(site, _listed("cdiff_second", 42, *DAYS), view=SECOND_VIEW),
        Dataset(site, _listed("cdiff_pairs", 1, _whole("gap", 0, 366)), view=PAIRS_VIEW),
    )


def _files(data: Path, scratch: Path) -> dict[str, Path]:
    """Give the tables names and types, and make the registry."""
    files = {}
    with duckdb.connect() as connection:
        for site in SITES:
            for table, columns in (("diagnoses", DIAGNOSES), ("medications", MEDICATIONS)):
                types = {c: "VARCHAR" if c in TEXTS else "INTEGER" for c in columns}
                file = files[f"{site}_{table}"] = scratch / f"{site}_{table}.parquet"
                connection.execute(
                    f"COPY (SELECT * REPLACE (strptime(timestamp_, '%m/%d/%y') AS timestamp_) "
                    f"FROM read_csv('{data / f'{site}_{table}.csv'}', header=false, columns={types})) "
                    f"TO '{file}' (FORMAT parquet)"
                )
        both = [str(files[f"{site}_diagnoses"]) for site in SITES]
        file = files["cdiff_cohort"] = scratch / "cdiff_cohort.parquet"
        connection.execute(
            f"COPY (SELECT DISTINCT patient_id FROM read_parquet({both}) WHERE icd9 = '008.45') "
            f"TO '{file}' (FORMAT parquet)"
        )
    return files


WORKLOAD = Workload(
    name="smcql",
    datasets=(*_site("site1"), *_site("site2"), Dataset("registry", COHORT, "cdiff_cohort")),
    names={"diagnoses": "diagnoses", "cdiff_cohort": "registry.cdiff_cohort", **{
        table: table for table in ("medications", "cdiff_cohort_diagnoses")}},
    statements=(
        Statement("comorbidity", COMORBIDITY, (occurring(COMORBIDITY_JOINED),),
                  f"The cohort's diagnoses are a join with the registry. {OCCURRING}",
                  [("414", 8), ("008", 8)]),
        Statement("aspirin count", ASPIRIN, ASPIRIN_COUNTS, WHY_ASPIRIN, [(3,)]),
        Statement("recurrent c. diff", RECURRENT, RECURRENT_JOINED, WHY_RECURRENT, [(1,)]),
    ),
    files=_files,
    union=(
        "CREATE VIEW diagnoses AS FROM site1_diagnoses UNION ALL FROM site2_diagnoses",
        "CREATE VIEW medications AS FROM site1_medications UNION ALL FROM site2_medications",
        "CREATE VIEW cdiff_cohort_diagnoses AS FROM diagnoses "
        "WHERE patient_id IN (SELECT patient_id FROM cdiff_cohort)",
    ),
    collections={"diagnoses": ("site1.diagnoses", "site2.diagnoses")},
)  # fmt: skip
