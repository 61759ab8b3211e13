"""Mutations of accounts, sessions of the admin, payment methods, and the admin's queries."""

from tests.mutations import at

MUTATIONS = [
    *at(
        "icecream/accounts/users.py",
        "tests/test_change_history.py tests/accounts/http/test_me.py",
        (
            "accounts: the sessions of a former staff user stay",
            'elif not changed.get("admin", True):',
            "elif False:",
        ),
        (
            "accounts: the last admin can lose the rights",
            "if removes_admin and not also_last_admin:",
            "if False:",
        ),
        (
            "accounts: sessions and tokens survive a new password",
            'if "password" in changed or not changed.get("active", True):',
            'if not changed.get("active", True):',
        ),
        (
            "accounts: an edit leaves no trace",
            'await change_history.record_changes("user", user, rows[0], changed, by=by)',
            "pass",
        ),
    ),
    *at(
        "icecream/tables.py",
        "tests/admin/test_sessions.py",
        ("sessions: the plain token is stored", "token=cls.hash_token(token),", "token=token,"),
        (
            "sessions: the lifetime has no limit",
            'end = min(now + SESSION_IDLE_TIME, row["max_expiry_date"])',
            "end = now + SESSION_IDLE_TIME",
        ),
        (
            "sessions: an idle session does not end",
            ".where(is_this, cls.expiry_date > now)",
            ".where(is_this)",
        ),
        (
            "sessions: expired ones are not deleted",
            "await cls.delete().where(cls.expiry_date <= now)",
            "cls.delete().where(cls.expiry_date <= now)",
        ),
    ),
    *at(
        "icecream/admin/cookies.py",
        "tests/admin/test_sessions.py",
        (
            "sessions: the CSRF token is not bound to them",
            "CSRF: csrf_token(session) if session else sent",
            "CSRF: sent",
        ),
        ("sessions: the cookie has no prefix", 'else f"__Host-{SESSION}"', "else SESSION"),
    ),
    *at(
        "icecream/admin/site.py",
        "tests/admin/test_sessions.py",
        (
            "sessions: the older one of a browser stays",
            "await tables.Session.remove_session(cookies.read_session(scope))",
            "pass",
        ),
        ("sessions: another page may sign in", "login.refuse_foreign_page(call)", "pass"),
    ),
    *at(
        "icecream/payments/http/methods.py",
        "tests/payments/http/test_methods.py",
        (
            "payment methods: two customers have the same",
            "raise errors.PaymentMethodTaken()",
            "pass",
        ),
    ),
    *at(
        "icecream/admin/lists.py",
        "tests/admin/test_admin.py",
        (
            "admin: rows can be sorted by a secret column",
            'if SECRET_COLUMNS & set(name.split(".")):',
            "if False:",
        ),
    ),
    *at(
        "icecream/http/middleware.py",
        "tests/http/test_middleware.py",
        ("paths: doubled slashes are served", 'if b"//" in raw_path:', "if False:"),
    ),
]
