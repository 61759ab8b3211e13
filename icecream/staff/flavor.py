"""The page of a flavor: its form, its stock, and who changed what."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromQuery
from msgspec import Struct

from icecream import change_history, conversion, errors, fields
from icecream.catalogue import flavors, inventory, stock_history
from icecream.http import bodies
from icecream.pages import access, forms, once, rendering
from icecream.staff import flavor_form

DONE = {
    "added": "The flavor is added.",
    "saved": "The changes are saved.",
    "archived": "The flavor is archived. It can no longer be ordered.",
    "restored": "The flavor can be ordered again.",
    "received": "The stock is changed.",
    "uncounted": "The stock is no longer counted.",
}
CONFLICT = (
    "Someone else changed this flavor while you edited it. Your values are still in the form. "
    "Below a field you see the saved value if it differs. Save again to keep yours."
)


async def _page(
    visitor: access.Visitor, flavor: int, shown: flavor_form.ShownFlavor, status: int = 200
) -> Response[str]:
    """Return the page of a flavor.

    Raises:
        errors.NotFound: there is no such flavor.
    """
    view, version = await flavors.get_flavor(flavor)
    if shown.texts is None:
        shown.texts = flavor_form.to_texts(view)
    page = rendering.render(
        "staff/flavor.html",
        visitor=visitor,
        flavor=view,
        version=version,
        shown=shown,
        groups=flavor_form.GROUPS,
        choices=flavor_form.choices,
        labels=flavor_form.LABELS,
        key=once.new_key(),
        edits=await change_history.load_edits("flavor", flavor),
        moves=await stock_history.load_moves(flavor),
        currency=view.currency,
    )
    return rendering.html_response(page, status)


@get("/{flavor:int}/", guards=[bodies.require_exact_ids])
async def show_flavor(
    visitor: access.SignedIn, flavor: bodies.PathId, done: FromQuery[str] = ""
) -> Response[str]:
    """Return the page of a flavor; `done` is what the last form has done."""
    return await _page(visitor, flavor, flavor_form.ShownFlavor(done=DONE.get(done, "")))


class _Version(Struct):
    version: fields.Id


class _Archiving(Struct):
    archived: bool


@post("/{flavor:int}/", guards=[bodies.require_exact_ids])
async def save_flavor(
    request: access.Call, visitor: access.SignedIn, flavor: bodies.PathId
) -> Response[Any]:
    """Save the form, unless a field is not valid or the flavor was changed in between."""
    sent = await forms.read_own_fields(request, visitor)
    seen = conversion.convert_body({"version": sent.get("version", "")}, _Version).version

    def check(version: int) -> None:
        if version != seen:
            raise errors.EditConflict()

    values, problems = flavor_form.read(sent)
    if problems:
        return await _page(
            visitor, flavor, flavor_form.ShownFlavor(texts=sent, problems=problems), 400
        )
    try:
        edit = flavors.FlavorEdit(**values)
        await flavors.edit_flavor(flavor, edit, by=visitor.user.id, check=check)
    except errors.NotFound:
        raise
    except errors.EditConflict as conflict:
        saved = await _differences(flavor, values)
        shown = flavor_form.ShownFlavor(texts=sent, saved=saved, alarm=CONFLICT)
        return await _page(visitor, flavor, shown, conflict.status)
    except errors.Refusal as refusal:
        return await _page(visitor, flavor, flavor_form.refused(sent, refusal), refusal.status)
    return rendering.redirect(flavor_form.page_address(flavor, "saved"))


async def _differences(flavor: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the saved values that differ from these, as people write them."""
    view, _ = await flavors.get_flavor(flavor)
    return {
        name: text
        for name, text in flavor_form.to_texts(view).items()
        if values[name] != getattr(view, name)
    }


@post("/{flavor:int}/archived/", guards=[bodies.require_exact_ids])
async def archive_flavor(
    request: access.Call, visitor: access.SignedIn, flavor: bodies.PathId
) -> Response[Any]:
    """Archive a flavor, or sell it again."""
    edit = await forms.read_form(request, visitor, _Archiving)
    await flavors.edit_flavor(
        flavor,
        flavors.FlavorEdit(archived=edit.archived),
        by=visitor.user.id,
        check=_accept_any,
    )
    return rendering.redirect(
        flavor_form.page_address(flavor, "archived" if edit.archived else "restored")
    )


def _accept_any(version: int) -> None:
    """Accept any version: the form shows none of the values that another edit may change."""


@post("/{flavor:int}/uncounted/", guards=[bodies.require_exact_ids])
async def stop_counting(
    request: access.Call, visitor: access.SignedIn, flavor: bodies.PathId
) -> Response[Any]:
    """Stop counting the stock: then any quantity can be ordered."""
    await forms.read_own_fields(request, visitor)
    edit = flavors.FlavorEdit(stock=None)
    await flavors.edit_flavor(flavor, edit, by=visitor.user.id, check=_accept_any)
    return rendering.redirect(flavor_form.page_address(flavor, "uncounted"))


@post("/{flavor:int}/stock/", guards=[bodies.require_exact_ids])
async def receive_stock(
    request: access.Call, visitor: access.SignedIn, flavor: bodies.PathId, state: State
) -> Response[Any]:
    """Add a delivery to the stock, or remove a loss; a form that is sent twice counts once."""
    sent = await forms.read_own_fields(request, visitor)
    path = request.scope["path"]

    async def work() -> tuple[str, list[int]]:
        values = {name: value for name, value in sent.items() if name != once.KEY_FIELD}
        receipt = conversion.convert_body(values, flavors.StockReceipt)
        by = visitor.user.id
        await inventory.receive_stock(flavor, receipt.quantity, reason=receipt.reason, by=by)
        return "", []

    try:
        await once.carry_out(work, path=path, fields=sent, visitor=visitor, state=state)
    except (errors.ValidationFailed, errors.InsufficientStock) as refusal:
        shown = flavor_form.ShownFlavor(problems=_receipt_problems(refusal), receipt=sent)
        return await _page(visitor, flavor, shown, refusal.status)
    return rendering.redirect(flavor_form.page_address(flavor, "received"))


def _receipt_problems(refusal: errors.Refusal) -> dict[str, str]:
    if isinstance(refusal, errors.InsufficientStock):
        (line,) = refusal.members["lines"]
        return {"quantity": f"Only {line['available']} are left."}
    (first,) = refusal.members["errors"]
    return {first["pointer"].removeprefix("/"): forms.explain(first["detail"], {})}


HANDLERS = [show_flavor, save_flavor, archive_flavor, receive_stock, stop_counting]
