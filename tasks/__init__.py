"""Background work: workers, their periodic tasks and notifications, and the publisher."""
