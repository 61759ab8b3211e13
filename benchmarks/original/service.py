"""A small version of the original: Django, DRF and Celery, with the same API and deployment.

It is one file instead of ten, but has the same request path: gunicorn's sync worker, DRF with
simplejwt, a ModelSerializer, one INSERT per order, then `delay()` to Redis.
"""

import os
import random
import time
from datetime import timedelta
from urllib.parse import urlsplit

import django
from celery import Celery
from django.conf import settings


def _database() -> dict[str, object]:
    """Return the configuration of SQLite, as shipped, or of the PostgreSQL in the environment."""
    address = os.environ.get("ORIGINAL_DATABASE")
    if not address:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": "original.sqlite"}
    parts = urlsplit(address)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.strip("/"),
        "HOST": parts.hostname,
        "PORT": parts.port,
        "USER": parts.username,
        "PASSWORD": parts.password,
        "CONN_MAX_AGE": 600,
    }


settings.configure(
    SECRET_KEY="a key of the benchmark's own, long enough",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": _database()},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication"
        ],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    },
    SIMPLE_JWT={"ACCESS_TOKEN_LIFETIME": timedelta(hours=1)},
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import generics, serializers  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_simplejwt.views import TokenObtainPairView  # noqa: E402

celery = Celery("original", broker=os.environ["ORIGINAL_REDIS"])
celery.conf.broker_transport_options = {"global_keyprefix": os.environ["ORIGINAL_PREFIX"]}


class Flavor(models.Model):
    name = models.CharField(max_length=100, unique=True)

    class Meta:
        app_label = "shop"


class Order(models.Model):
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    flavor = models.ForeignKey(Flavor, on_delete=models.CASCADE)
    quantity = models.PositiveIntegerField()
    status = models.CharField(max_length=20, default="pending")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "shop"
        db_table = "orders"


@celery.task(name="process_payment")
def process_payment(order_id: int) -> None:
    if os.environ["ORIGINAL_SLEEP"]:
        time.sleep(random.uniform(0.5, 2))
    order = Order.objects.get(id=order_id)
    order.status = "paid" if random.random() > 0.1 else "failed"
    order.save()


class FlavorSerializer(serializers.ModelSerializer):
    class Meta:
        model = Flavor
        fields = "__all__"


class OrderSerializer(serializers.ModelSerializer):
    class Meta:
        model = Order
        fields = "__all__"
        read_only_fields = ("user", "status", "created_at")


class Flavors(generics.ListAPIView):
    queryset = Flavor.objects.all()
    serializer_class = FlavorSerializer


class Orders(APIView):
    def get(self, request):
        orders = Order.objects.filter(user=request.user)
        return Response(OrderSerializer(orders, many=True).data)

    def post(self, request):
        serializer = OrderSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        order = serializer.save(user=request.user)
        process_payment.delay(order.id)
        return Response({"status": "Order placed", "order_id": order.id})


class Stats(APIView):
    def get(self, request):
        sums = Order.objects.values("flavor__name").annotate(
            total_qty_ordered=models.Sum("quantity")
        )
        return Response(list(sums))


urlpatterns = [
    path("api/token/", TokenObtainPairView.as_view()),
    path("api/flavors/", Flavors.as_view()),
    path("api/orders/", Orders.as_view()),
    path("api/stats/", Stats.as_view()),
]
application = get_wsgi_application()

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Flavor)
        editor.create_model(Order)
    get_user_model().objects.create_superuser("admin", "admin@example.org", "vanilla-sky-42")
    Flavor.objects.create(name="Vanilla")
