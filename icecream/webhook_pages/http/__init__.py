"""The routes of the pages for webhooks."""

from icecream.pages import access
from icecream.webhook_pages.http import endpoint_list, endpoint_page

router = access.router("/webhooks", [*endpoint_list.HANDLERS, *endpoint_page.HANDLERS])
