"""Which parameter of a function asks for what."""

from typing import Annotated

import annotated_as_text
import pytest

from warmkit import (
    DefinitionError,
    Invocation,
    Lazy,
    UnknownDependencyError,
    resource,
    warm_handler,
)
from warmkit.inject import HandlerSignature, Need, Wants, read_factory, read_handler

db = resource(lambda: "db")
s3 = resource(lambda: "s3")


def test_a_parameter_is_given_the_resource_of_its_name():
    def handler(event, context, db): ...

    assert read_handler(handler, {"db": db}) == HandlerSignature(
        takes_context=True, needs=(Need("db", Wants.VALUE, db),)
    )


def test_an_annotation_names_a_resource_a_lazy_one_and_the_facts():
    def handler(
        event,
        context,
        a: Annotated[str, db],
        b: Annotated[Lazy[str], "a note", s3],
        c: Invocation,
    ): ...

    assert read_handler(handler, {}) == HandlerSignature(
        takes_context=True,
        needs=(
            Need("a", Wants.VALUE, db),
            Need("b", Wants.LAZY, s3),
            Need("c", Wants.INVOCATION, None),
        ),
    )


def test_lazy_with_a_keyword_resource_is_lazy():
    def handler(event, context, db: Lazy[str]): ...

    assert read_handler(handler, {"db": db}).needs == (Need("db", Wants.LAZY, db),)


def test_a_handler_without_context_is_called_without():
    def handler(event, db: Annotated[str, db]): ...

    assert read_handler(handler, {}) == HandlerSignature(
        takes_context=False, needs=(Need("db", Wants.VALUE, db),)
    )


def test_the_facts_in_second_place_are_not_the_context():
    def handler(event, facts: Invocation): ...

    assert read_handler(handler, {}).takes_context is False


def test_a_parameter_with_a_default_is_left_alone():
    def handler(event, context, size=3, *more, db: Annotated[str, db], **rest): ...

    assert read_handler(handler, {}).needs == (Need("db", Wants.VALUE, db),)


def test_what_no_parameter_names_goes_to_the_keywords():
    def handler(event, context, **resources): ...

    assert read_handler(handler, {"db": db}).needs == (Need("db", Wants.VALUE, db),)


def test_keywords_are_given_in_the_order_in_which_they_were_registered():
    """Whatever the hash seed: the order of starts, and which error comes first, must not change from run to run."""

    def handler(event, context, **resources): ...

    named = {f"r{number}": resource(lambda: 0) for number in range(20)}
    assert [need.parameter for need in read_handler(handler, named).needs] == list(named)


def test_annotations_that_are_text_are_read_in_their_own_module(inside):
    handler = warm_handler(annotated_as_text.handler)

    @inside
    async def scenario(environment):
        assert await handler.invoke({}) == ("db", "api on db", 1)


def test_text_annotations_see_the_variables_of_the_function_around_them(inside):
    handler = warm_handler(annotated_as_text.made_in_a_function())

    @inside
    async def scenario(environment):
        assert await handler.invoke({}) == "local"


def test_a_name_for_type_checkers_only_is_no_obstacle_to_a_registered_resource(inside):
    handler = warm_handler(pool=db)(annotated_as_text.takes_what_only_checkers_know)
    assert [need.resource for need in read_handler(handler.__wrapped__, {"pool": db}).needs] == [db]


def test_a_name_for_type_checkers_only_is_an_error_that_says_so():
    with pytest.raises(UnknownDependencyError) as raised:
        warm_handler(annotated_as_text.takes_what_only_checkers_know)
    assert str(raised.value) == (
        "takes_what_only_checkers_know: parameter 'pool' has an annotation that cannot be read: "
        "name 'LambdaContext' is not defined.\n"
        "  Make the name a global of the module, or register the resource by keyword: pool=..."
    )


def refused(function, **named):
    with pytest.raises(DefinitionError) as raised:
        read_handler(function, named)
    return str(raised.value)


def test_an_unknown_parameter_is_an_error_with_what_to_write():
    def handler(event, context, db): ...

    assert refused(handler) == (
        f"{handler.__qualname__}: parameter 'db' names no resource.\n"
        "  Register it by keyword, db=..., or annotate it: db: Annotated[Type, resource]."
    )


def test_an_unknown_parameter_that_is_nearly_a_resource_is_an_error_with_a_suggestion():
    def handler(event, context, databse): ...

    assert refused(handler, database=db) == (
        f"{handler.__qualname__}: parameter 'databse' names no resource.\n  Did you mean 'database'?"
    )


def test_a_resource_that_nothing_takes_is_an_error():
    def handler(event, context): ...

    assert refused(handler, db=db) == (
        f"{handler.__qualname__}: parameter 'db' is registered, but the function does not take it.\n"
        "  Add the parameter db, or take db=... out of the decorator."
    )


def test_a_resource_whose_parameter_stands_where_the_context_goes_is_suggested():
    def handler(event, database): ...

    assert refused(handler, databse=db) == (
        f"{handler.__qualname__}: parameter 'database' names no resource.\n"
        "  Did you mean 'databse'?"
    )


def test_a_resource_in_the_events_place_is_an_error():
    def handler(db): ...

    assert refused(handler, db=db) == (
        f"{handler.__qualname__}: parameter 'db' comes first, where the event is passed, "
        "so no resource can be injected there.\n"
        f"  Write: async def {handler.__qualname__}(event, context, db): ..."
    )


@pytest.mark.parametrize("function", [lambda: None, lambda *, event: None, lambda **event: None])
def test_a_handler_that_takes_no_event_is_an_error(function):
    assert refused(function) == (
        f"{function.__qualname__}: a handler's first parameter takes the event.\n"
        f"  Write: async def {function.__qualname__}(event, context, ...): ..."
    )


def test_a_resource_that_can_only_be_passed_by_position_is_an_error():
    def handler(event, context, db: Annotated[str, db], /): ...

    assert refused(handler) == (
        f"{handler.__qualname__}: parameter 'db' can only be passed by position, "
        "but resources are injected by name.\n"
        "  Take it out from before the / in the signature."
    )


def test_a_function_without_a_signature_is_an_error():
    with pytest.raises(DefinitionError) as raised:
        read_factory(max, {})
    assert str(raised.value) == (
        "max has no signature that can be read.\n  Wrap it in a function of your own."
    )


def test_every_parameter_of_a_factory_is_injected():
    def factory(a: Annotated[str, db], s3, size=3): ...

    assert read_factory(factory, {"s3": s3}) == (
        Need("a", Wants.VALUE, db),
        Need("s3", Wants.VALUE, s3),
    )


def test_a_resource_both_registered_and_annotated_with_another_is_an_error():
    """Which of the two it gets would be a guess."""

    def handler(event, context, db: Annotated[str, s3]): ...

    with pytest.raises(DefinitionError):
        read_handler(handler, {"db": db})
