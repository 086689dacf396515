"""Plays incidents on the stock pipeline and prints its table beside the product's."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from fraud_provenance_tests.incidents.model import Answer, Incident
from fraud_provenance_tests.incidents.stock.place import StockAnswer, StockGround


def play_stock(
    ground: StockGround, incidents: Sequence[Incident], screen: Console
) -> list[StockAnswer]:
    """Each incident that can happen there."""
    ground.prepare()
    answers = []
    for incident in incidents:
        answer = ground.play(incident)
        said = ", ".join(sorted(answer.named)) or "nothing"
        told = f"names {said[:200]}" if answer.there else "cannot happen here"
        screen.print(f"· stock: {incident.id}: {told}", markup=False)
        answers.append(answer)
    return answers


def print_stock(answers: Sequence[StockAnswer], ours: Sequence[Answer], screen: Console) -> None:
    """Both arms, incident by incident, and the shares of those that both were played on."""
    own = {answer.incident.id: answer for answer in ours}
    table = Table("incident", "what went wrong", "stopped", "exact", "one",
                  "stock: stopped", "exact", "one", "names", box=None)  # fmt: skip
    both = [answer for answer in answers if answer.there and answer.incident.id in own]
    for answer in both:
        case, mine = answer.incident, own[answer.incident.id]
        table.add_row(
            case.id, case.kind, _yes(mine.alarmed), _yes(mine.exact), _yes(mine.at_least_one),
            _yes(answer.alarmed), _yes(answer.exact), _yes(answer.at_least_one),
            ", ".join(sorted(answer.named))[:90],
        )  # fmt: skip
    screen.print(table)
    must = [answer for answer in both if answer.incident.causes]
    for said, first, second, of in (
        ("stopped or alerted", sum(own[a.incident.id].alarmed for a in must),
         sum(a.alarmed for a in must), len(must)),
        ("exact set", sum(own[a.incident.id].exact for a in both), sum(a.exact for a in both),
         len(both)),
        ("at least one", sum(own[a.incident.id].at_least_one for a in both),
         sum(a.at_least_one for a in both), len(both)),
    ):  # fmt: skip
        screen.print(f"{said}: ours {first}, stock {second}, of {of}")
    away = [answer.incident.id for answer in answers if not answer.there]
    if away:
        screen.print(f"has no counterpart in the stock pipeline: {', '.join(away)}")


def _yes(fact: bool) -> str:
    return "yes" if fact else "-"
