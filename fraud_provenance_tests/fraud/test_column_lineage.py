"""Columns of the mart lead to raw columns, through every statement between the two."""

from fraud_provenance.fraud.column_lineage import raw_columns

MODELS = {
    '"s"."main"."stg"': """
        with source as (select r.id, r.amount, r.moment, r.card from read_parquet('x') as r)
        select id, cast(amount * 100 as bigint) as cents, moment as t, card from source
        cross join (select d.day from read_parquet('y') as d)
        """,
    '"s"."main"."sums"': """
        select
            stg.id, sum(stg.cents) over w as spent, count(*) over w as often, count(*) over () as n
        from "s"."main"."stg" as stg
        window
            w as (partition by stg.card order by stg.t range between 9 preceding and current row)
        """,
    '"s"."main"."mart"': """
        select stg.id, sums.spent / sums.often as mean, sums.often, sums.n
        from "s"."main"."stg" as stg inner join "s"."main"."sums" as sums on stg.id = sums.id
        """,
}


def test_columns_of_the_mart_lead_to_raw_columns() -> None:
    assert raw_columns(MODELS, '"s"."main"."mart"', "r") == {
        "id": ["id"],
        "mean": ["amount", "card", "moment"],
        "often": ["card", "moment"],
        "n": [],
    }


def test_a_table_that_is_not_the_raw_one_is_no_source() -> None:
    models = {"mart": "select d.day, r.id from read_parquet('y') as d, read_parquet('x') as r"}

    assert raw_columns(models, "mart", "r") == {"day": [], "id": ["id"]}
