"""Mutations of accounts, sessions of the admin, payment methods, and the admin's queries."""

from tests.mutations import at

KEY_TESTS = "tests/accounts/test_api_keys.py tests/accounts/http/test_keys.py"
MUTATIONS = [
    *at(
        "icecream/accounts/password_links.py",
        "tests/accounts/test_password_links.py",
        (
            "password links: two requests at the same time both use one",
            "if not await PasswordLink.delete().where(is_this).returning(PasswordLink.user):",
            "if False:",
        ),
        (
            "password links: staff can take over an admin's account",
            "if user.admin and not by.superuser:",
            "if False:",
        ),
        ("password links: they never expire", "expires_at > datetime.now(UTC)", "id > 0"),
    ),
    *at(
        "icecream/accounts/api_keys.py",
        KEY_TESTS,
        (
            "API keys: the secret is not checked",
            'or not hmac.compare_digest(row[0]["hash"], _hash_key(key)):',
            "or not key:",
        ),
        (
            "API keys: a revoked key stays valid",
            ".where(ApiKey.prefix == match[1], NOT_REVOKED)",
            ".where(ApiKey.prefix == match[1])",
        ),
        (
            "API keys: the key of a disabled account stays valid",
            "user is None or not user.active or access.exp",
            "user is None or access.exp",
        ),
        (
            "API keys: a key never expires",
            "not user.active or access.exp <= datetime.now(UTC):",
            "not user.active:",
        ),
        (
            "API keys: every key of staff acts as staff",
            "if STAFF not in access.scopes:",
            "if False:",
        ),
        (
            "API keys: customers create keys of staff",
            'if STAFF in scopes and not owners[0]["admin"]:',
            "if False:",
        ),
        (
            "API keys: customers revoke the keys of others",
            "is_this &= ApiKey.user == user",
            "pass",
        ),
        (
            "API keys: a revoked key stays in the cache",
            "tokens.token_cache.forget(row.user)",
            "pass",
        ),
    ),
    *at(
        "icecream/accounts/http/__init__.py",
        KEY_TESTS,
        (
            "API keys: every key may call every route",
            "if access.scopes.isdisjoint(allowed):",
            "if False:",
        ),
        (
            "API keys: a refused key is not counted",
            "refusal.headers |= rate_limits.count_caller(scope)",
            "pass",
        ),
    ),
    *at(
        "icecream/accounts/users.py",
        "tests/accounts/test_password_links.py",
        (
            "accounts: a link for a shop stays valid when the shop becomes staff",
            "if is_locked_out or not changed.keys().isdisjoint(ROLE_FLAGS):",
            "if is_locked_out:",
        ),
    ),
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
            'is_locked_out = "password" in changed or not changed.get("active", True)',
            'is_locked_out = not changed.get("active", True)',
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
            "CSRF: sessions.csrf_token(session) if session else sent",
            "CSRF: sent",
        ),
    ),
    *at(
        "icecream/accounts/http/sessions.py",
        "tests/admin/test_sessions.py",
        ("sessions: the cookie has no prefix", 'else f"__Host-{COOKIE}"', "else COOKIE"),
    ),
    *at(
        "icecream/admin/site.py",
        "tests/admin/test_sessions.py",
        (
            "sessions: the older one of a browser stays",
            "await tables.Session.remove_session(sessions.read_token(scope))",
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
