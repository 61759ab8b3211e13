"""Mutations of tokens, the history, the feed, transactions, the doctor and the repair."""

from tests.mutations import at

TOKENS = "icecream/accounts/tokens.py"
REFRESH_TOKENS = "icecream/accounts/refresh_tokens.py"
TOKEN_TESTS = (
    "tests/accounts/test_tokens.py tests/accounts/test_refresh_tokens.py "
    "tests/accounts/http/test_signing_in.py tests/accounts/http/test_me.py"
)
TRANSACTIONS = "icecream/database/transactions.py"

MUTATIONS = [
    *at(
        TOKENS,
        TOKEN_TESTS,
        (
            "tokens: a refresh token is accepted as an access token",
            'if payload["typ"] != "access":',
            "if False:",
        ),
        ("tokens: a disabled account can use its tokens", "or not user.active or", "or"),
        (
            "tokens: old tokens are valid after a change of the password",
            " or token.pwd != password_fingerprint(user):",
            ":",
        ),
        (
            "tokens: an access token is valid for 15 hours",
            "ACCESS_LIFETIME = timedelta(minutes=15)",
            "ACCESS_LIFETIME = timedelta(hours=15)",
        ),
        (
            "tokens: an expired token is valid for an hour more",
            "CLOCK_LEEWAY_SECONDS = 10",
            "CLOCK_LEEWAY_SECONDS = 3600",
        ),
        ("tokens: claims may be missing", '"require": REQUIRED_CLAIMS, ', ""),
        (
            "tokens: any audience is accepted",
            "audience=AUDIENCE,\n                    leeway",
            "audience=audience,\n                    leeway",
        ),
        ("tokens: they are cached forever", "if age >= self._max_age or", "if"),
        (
            "tokens: a check from before a change is cached",
            "if checked_at < self._forgotten_at:",
            "if False:",
        ),
        (
            "tokens: a cached token does not expire",
            " or cached.token.exp <= datetime.now(UTC):",
            ":",
        ),
    ),
    *at(
        REFRESH_TOKENS,
        TOKEN_TESTS,
        (
            "tokens: an access token is accepted as a refresh token",
            'if token.typ != "refresh" or user is None:',
            "if user is None:",
        ),
        (
            "tokens: a refresh token is valid for 8 days",
            "REFRESH_LIFETIME = timedelta(days=7)",
            "REFRESH_LIFETIME = timedelta(days=8)",
        ),
        (
            "tokens: reuse does not revoke the family",
            'await RefreshToken.delete().where(RefreshToken.family == row["family"])',
            "pass",
        ),
        ("tokens: reuse is not detected", "and await _has_used_successor(row, jti):", "and False:"),
        (
            "tokens: any second use counts as reuse",
            " and await _has_used_successor(row, jti):",
            ":",
        ),
        (
            "tokens: two concurrent uses count as reuse",
            "> grace",
            "> timedelta(0)",
        ),
        (
            "tokens: a replaced token does not expire",
            ".where(is_this, is_valid)",
            ".where(is_this)",
        ),
        (
            "tokens: a token in use ends when its parent is reused",
            "RefreshToken.jti == jti, RefreshToken.used_at.is_null()",
            "RefreshToken.jti == jti",
        ),
        (
            "tokens: a token has several successors",
            "await RefreshToken.update({RefreshToken.successor: _hash_id(successor)})",
            "RefreshToken.update({RefreshToken.successor: _hash_id(successor)})",
        ),
        (
            "tokens: a revoked token is accepted for a second more",
            "tokens.token_cache.forget(user)",
            "pass",
        ),
    ),
    *at(
        "icecream/feed/publisher.py",
        "tests/feed/test_feed.py",
        (
            "feed: the limit of the publisher is ignored",
            "if len(ids) >= MAX_EVENTS_PER_BATCH:",
            "if False:",
        ),
        ("feed: two events have the same position", "enumerate(ids, start=1)", "enumerate(ids)"),
        (
            "feed: the publisher does not report that there are more events",
            "return len(done) < len(rows) or len(rows) == MAX_TRANSACTIONS_PER_BATCH",
            "return False",
        ),
    ),
    *at(
        "icecream/feed/events.py",
        "tests/feed/test_feed.py",
        ("feed: an event is read twice", "Event.position > after", "Event.position >= after"),
        ("feed: the last event is left out", "Event.position <= upto", "Event.position < upto"),
        (
            "feed: customers get past events of other customers",
            "if user is not None:\n        query",
            "if False:\n        query",
        ),
        (
            "feed: an event does not have the status of its time",
            'statuses[row["order"], row["seq"]]',
            '"pending"',
        ),
    ),
    *at(
        "icecream/feed/subscription.py",
        "tests/feed/test_feed.py",
        (
            "feed: customers get events of other customers",
            "if self._user in (None, event.data.user))",
            "if True)",
        ),
        (
            "feed: a stream gets events from before its start",
            "event.position > self.position]",
            "True]",
        ),
        (
            "feed: a slow client is never disconnected",
            "if len(self._queued) > MAX_QUEUED_EVENTS:",
            "if False:",
        ),
    ),
    *at(
        "icecream/feed/reader.py",
        "tests/feed/test_feed.py",
        (
            "feed: a stream begins after the service has stopped",
            "if self.closed:\n                raise",
            "if False:\n                raise",
        ),
    ),
    *at(
        "icecream/feed/publisher.py",
        "tests/feed/test_feed.py",
        (
            "feed: two publishers work at the same time",
            "heads = await database.for_update_skip_locked(Feed.select(Feed.id, Feed.last))",
            "heads = await Feed.select(Feed.id, Feed.last)",
        ),
        database="postgres",
    ),
    *at(
        "icecream/feed/order_history.py",
        "tests/feed/test_order_history.py tests/payments/test_executor.py "
        "-k 'events or history or success_pays or decline_fails'",
        (
            "history: each event is numbered as the first",
            "last[event.order] = last.get(event.order, 0) + 1",
            "last[event.order] = 1",
        ),
    ),
    *at(
        "icecream/feed/order_history.py",
        "tests/feed/test_order_history.py tests/demo/test_demo.py",
        ("history: all events have the current time", "event.at or at", "at"),
    ),
    *at(
        "icecream/integrity/doctor.py",
        "tests/integrity/test_doctor.py",
        (
            "doctor: one rule is not checked",
            "for rule, query in RULES.items()\n",
            "for rule, query in list(RULES.items())[1:]\n",
        ),
        ("doctor: a charge may be too small", "p.amount <> o.total", "p.amount > o.total"),
        (
            "doctor: a total may be too small",
            "o.total <> sum(l.quantity * l.unit_price)",
            "o.total > sum(l.quantity * l.unit_price)",
        ),
        ("doctor: a history may have gaps", " OR max(e.seq) <> count(e.id)", ""),
        (
            "doctor: the refunds of the lines may differ from the refund of the order",
            "o.refunded <> sum(l.refunded) OR",
            "",
        ),
        (
            "doctor: totals are compared in one direction",
            ' UNION ALL SELECT * FROM ({stored} EXCEPT {recount}) b"',
            '"',
        ),
        (
            "doctor: missing totals are not found",
            "SELECT * FROM ({recount} EXCEPT {stored}) a",
            "SELECT * FROM ({stored} EXCEPT {stored}) a",
        ),
        (
            "doctor: a line may be refunded more than its price",
            " OR max(l.refunded - l.quantity * l.unit_price) > 0",
            "",
        ),
        (
            "doctor: refunds may exceed the charge",
            "returned + requested > charged",
            "requested > charged",
        ),
        (
            "doctor: an old sent payment is not found",
            "-MIN_AGES[rule].total_seconds()",
            "-10_000 * MIN_AGES[rule].total_seconds()",
        ),
        ("doctor: a parked payment needs a job", ' if one != "parked")', ")"),
    ),
    *at(
        "icecream/integrity/repair.py",
        "tests/integrity/test_repair.py",
        (
            "repair: a repaired job is due in 2099",
            '"user", {database.NOW_SQL}, 0',
            "\"user\", '2099-01-01 00:00:00+00:00', 0",
        ),
        (
            "repair: a repaired job is due only after midnight",
            '"user", {database.NOW_SQL}, 0',
            "\"user\", strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), 0",
        ),
        ("repair: a repaired job forgets its customer", "p.id, o.", "p.id, NULL AS "),
        (
            "repair: the jobs of webhook events are deleted",
            "WHERE kind IN ('charge', 'refund') AND NOT EXISTS (",
            "WHERE NOT EXISTS (",
        ),
        ("repair: totals are added twice", 'f"DELETE FROM {table}",', '"SELECT 1",'),
        (
            "repair: changes of totals are added to the recount",
            'f"DELETE FROM total_change WHERE {owner} IS NOT NULL"',
            '"SELECT 1"',
        ),
        (
            "repair: the changes of the other totals are discarded too",
            'f"DELETE FROM total_change WHERE {owner} IS NOT NULL"',
            '"DELETE FROM total_change"',
        ),
    ),
    *at(
        "icecream/integrity/doctor.py",
        "tests/payments/test_balances.py",
        ("doctor: a payment that staff booked is a finding", "m.moved > m.amount", "m.moved < 0"),
    ),
    *at(
        "icecream/integrity/repair.py",
        "tests/integrity/test_repair.py",
        ("repair: a sequence is not repaired", "greatest(max(id)", "least(max(id)"),
        database="postgres",
    ),
    *at(
        TRANSACTIONS,
        "tests/database/test_database.py",
        (
            "transactions: a commit with unknown outcome is retried",
            "raise CommitOutcomeUnknown(f",
            "raise RetryTransaction(f",
        ),
        (
            "transactions: no transaction is retried",
            "except RetryTransaction:",
            "except ZeroDivisionError:",
        ),
        (
            "transactions: there is one retry too many",
            "range(MAX_ATTEMPTS - 1)",
            "range(MAX_ATTEMPTS)",
        ),
        (
            "transactions: an error commits the earlier writes",
            "if error is None else self._try_rollback()",
            "if True else self._try_rollback()",
        ),
    ),
    *at(
        TRANSACTIONS,
        "tests/database/test_database.py -k task",
        # With SQLite such a query waits forever.
        (
            "transactions: a query outside of the transaction is allowed",
            "raise QueryOutsideTransaction",
            "pass",
        ),
        database="postgres",
    ),
]
