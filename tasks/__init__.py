"""Background work: workers, their periodic tasks and notifications, and the publisher."""

from icecream.runtime import optional_imports

# Taskiq supports dependencies of FastAPI, which is only installed for Piccolo Admin, and calls its
# own dashboard with aiohttp. The client of Redis supports OpenTelemetry. Importing them takes
# longer than importing all other packages together.
with (
    optional_imports.hidden("fastapi", "opentelemetry"),
    optional_imports.replaced("aiohttp"),
):
    import taskiq
    import taskiq_redis

__all__ = ["taskiq", "taskiq_redis"]
