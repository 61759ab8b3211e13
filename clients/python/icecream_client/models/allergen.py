from enum import StrEnum


class Allergen(StrEnum):
    CELERY = "celery"
    CEREALS_CONTAINING_GLUTEN = "cereals-containing-gluten"
    CRUSTACEANS = "crustaceans"
    EGGS = "eggs"
    FISH = "fish"
    LUPIN = "lupin"
    MILK = "milk"
    MOLLUSCS = "molluscs"
    MUSTARD = "mustard"
    NUTS = "nuts"
    PEANUTS = "peanuts"
    SESAME = "sesame"
    SOYBEANS = "soybeans"
    SULPHITES = "sulphites"

    def __str__(self) -> str:
        return str(self.value)
