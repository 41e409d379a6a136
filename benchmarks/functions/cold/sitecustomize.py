"""Python imports this when it is ready to run code, before anything of the runtime."""

import moments

moments.note("python")
