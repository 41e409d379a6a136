"""As much of a runtime's context as anybody reads."""


class Context:
    """Of an invocation that has three seconds left."""

    aws_request_id = "8f5b9e6e-6a3c-4d9b-9f0e-2f1d3f0c7a11"

    def get_remaining_time_in_millis(self) -> int:
        return 3000
