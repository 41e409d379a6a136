"""The data is what it says it is, and answers are compared with it."""

from decimal import Decimal

from warmkit.local.demo.figures import measure
from warmkit.local.demo.orders import read_orders, receipts


def test_the_file_holds_244_bills_with_their_known_sums():
    orders = read_orders()
    assert [order.id for order in orders] == list(range(1, 245))
    assert sum(order.total_bill for order in orders) == Decimal("4827.77")
    assert sum(order.tip for order in orders) == Decimal("731.58")
    assert sum(order.size for order in orders) == 627


def test_a_receipt_for_each():
    found = receipts(read_orders())
    assert len(found) == 244
    assert found["receipts/1.txt"].decode() == (
        "Order 1: Dinner, Sun, 2 people\n"
        "Bill       16.99 USD\n"
        "Tip         1.01 USD\n"
        "Paid       18.00 USD\n"
    )


def test_a_handler_is_called_as_aws_calls_it():
    order = read_orders()[2]
    seen = {}

    def handler(event, context):
        left = context.get_remaining_time_in_millis()
        seen.update(event=event, id=context.aws_request_id, in_time=0 < left <= 30_000)
        return order.answer

    measured = measure(handler, 7, order)
    assert seen == {"event": {"id": 3}, "id": "demo-7", "in_time": True}
    assert (measured.number, measured.problem, measured.failed) == (7, "", False)
    assert measured.ms > 0


def test_a_wrong_answer_is_named():
    order = read_orders()[0]
    measured = measure(lambda event, context: {**order.answer, "tip": "0.00"}, 1, order)
    assert measured.problem.startswith("wrong answer: expected {'id': 1, 'total_bill': '16.99'")
    assert not measured.failed


def test_what_json_cannot_carry_is_wrong():
    order = read_orders()[0]
    answer = {**order.answer, "tip": order.tip}
    assert measure(lambda event, context: answer, 1, order).problem


def test_a_failure_is_named():
    def handler(event, context):
        raise ConnectionError("gone")

    measured = measure(handler, 1, read_orders()[0])
    assert (measured.problem, measured.failed) == ("failed: ConnectionError: gone", True)
