"""A plain service on the same stack: Litestar, Piccolo, one transaction per order, and stock."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import uvicorn
from litestar import Litestar, Request, get, post
from litestar.exceptions import ClientException
from litestar.security.jwt import JWTAuth, Token
from piccolo.apps.user.tables import BaseUser
from piccolo.columns import BigInt, BigSerial, ForeignKey, Timestamptz, Varchar
from piccolo.engine.postgres import PostgresEngine
from piccolo.table import Table, create_db_tables

DB = PostgresEngine(config={"dsn": os.environ["PLAIN_DATABASE"]})


class User(BaseUser, tablename="users", db=DB):
    pass


class Flavor(Table, db=DB):
    id = BigSerial(primary_key=True)
    name = Varchar(length=100, unique=True)
    price = BigInt()
    stock = BigInt()


class Order(Table, tablename="orders", db=DB):
    id = BigSerial(primary_key=True)
    user = ForeignKey(User)
    flavor = ForeignKey(Flavor)
    quantity = BigInt()
    total = BigInt()
    status = Varchar(length=20)
    created_at = Timestamptz()


class NewOrder(msgspec.Struct):
    quantity: int
    flavor: int


@dataclass
class Credentials:
    username: str
    password: str


async def find_user(token: Token, _: object) -> User | None:
    return await User.objects().where(User.id == int(token.sub)).first()


auth = JWTAuth[User](
    retrieve_user_handler=find_user,
    token_secret="a secret of the benchmark's own, long enough",
    exclude=["/api/token", "/health"],
)


@get("/health/ready")
async def ready() -> str:
    return "ok"


@post("/api/token", status_code=200)
async def sign_in(data: Credentials) -> dict[str, str]:
    user = await User.login(data.username, data.password)
    return {"access": auth.create_token(str(user))}


@post("/api/orders", status_code=200)
async def place(request: Request[User, Token, Any], data: NewOrder) -> dict[str, object]:
    async with DB.transaction():
        flavors = (
            await Flavor.update({Flavor.stock: Flavor.stock - data.quantity})
            .where(Flavor.id == data.flavor, Flavor.stock >= data.quantity)
            .returning(Flavor.price)
        )
        if not flavors:
            raise ClientException("There is not enough stock.")
        order = Order(
            user=request.user.id,
            flavor=data.flavor,
            quantity=data.quantity,
            total=data.quantity * flavors[0]["price"],
            status="pending",
            created_at=datetime.now(UTC),
        )
        await Order.insert(order)
    return {"status": "Order placed", "order_id": order.id}


async def start() -> None:
    await DB.start_connection_pool()
    await create_db_tables(User, Flavor, Order, if_not_exists=True)
    if not await User.exists():
        await User.create_user(username="admin", password="vanilla-sky-42", active=True)
        await Flavor.insert(Flavor(name="Vanilla", price=250, stock=10**12))


app = Litestar([ready, sign_in, place], on_startup=[start], on_app_init=[auth.on_app_init])

if __name__ == "__main__":
    port = int(os.environ["PLAIN_PORT"])
    uvicorn.run(app, port=port, access_log=False, log_level="warning", ws="none")
