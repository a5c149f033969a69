"""Reads a folder of objects as the S3 sink writes them, by DuckDB: every row as one JSON object a line.

    python tests/validators/read_lake.py parquet|jsonl FOLDER

Parquet: all columns, `event_time` as milliseconds. JSON Lines: the line as `event`. Both with the columns of the partition
(`p_account`, `p_region`, `p_date`, `p_hour`), in the order of `event`.
"""

import json
import sys

import duckdb

PARTITION = "account AS p_account, region AS p_region, CAST(date AS VARCHAR) AS p_date, hour AS p_hour"
TYPES = "hive_partitioning = true, hive_types = {account: VARCHAR, region: VARCHAR, date: VARCHAR, hour: VARCHAR}"


def main():
    body, folder = sys.argv[1:]
    if body == "parquet":
        columns = "* EXCLUDE (account, region, date, hour) REPLACE (epoch_ms(event_time) AS event_time)"
        source = f"read_parquet('{folder}/**/*.parquet', {TYPES})"
    else:
        columns = "json AS event"
        source = f"read_ndjson_objects('{folder}/**/*.jsonl*', {TYPES})"
    rows = duckdb.sql(f"SELECT {columns}, {PARTITION} FROM {source} ORDER BY event")
    for row in rows.fetchall():
        print(json.dumps(dict(zip(rows.columns, row))))


main()
