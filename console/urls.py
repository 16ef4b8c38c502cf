"""Where everything is."""

from django.urls import path

from console.api import api
from console.views import health, lists

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("lists/<str:name>.txt", lists.pull, name="list"),
    path("api/v1/", api.urls),
]
