"""The invocation that is being served, as context variables: right for each of many at once.

Whatever the handler starts, tasks and threads of `asyncio.to_thread`, sees the same.
"""

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("warmkit_request_id", default="")
trace_id: ContextVar[str] = ContextVar("warmkit_trace_id", default="")
tenant_id: ContextVar[str] = ContextVar("warmkit_tenant_id", default="")
