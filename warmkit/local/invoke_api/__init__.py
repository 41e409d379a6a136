"""How a function is invoked from outside: Lambda's Invoke API, and the function's URL."""
