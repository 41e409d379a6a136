"""A function that computes, and waits for nobody."""


def compute(event):
    total = 0
    for n in range(event["steps"]):
        total += n % 7
    return event["n"] * 2 if total >= 0 else None


async def asynchronous(event, context):
    return compute(event)


def handler(event, context):
    return compute(event)
