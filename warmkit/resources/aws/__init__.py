"""AWS clients, on aiobotocore. Loaded when a recipe is made; aiobotocore when it starts."""
