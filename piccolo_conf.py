"""Configuration of Piccolo and its commands: the database and the tables."""

from piccolo.conf.apps import AppRegistry

from icecream.database import DB

APP_REGISTRY = AppRegistry(apps=["icecream.tables"])

__all__ = ["APP_REGISTRY", "DB"]
