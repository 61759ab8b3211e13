"""The pages for webhooks, the same for staff and shops: own endpoints, and what was sent."""
