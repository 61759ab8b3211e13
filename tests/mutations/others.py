"""Mutations of tokens, the history and its feed, transactions, checks and repairs."""

from tests.mutations import at

TOKENS = "icecream/accounts/tokens.py"
TRANSACTIONS = "icecream/database/transactions.py"

MUTATIONS = [
    *at(
        TOKENS,
        "tests/accounts/test_tokens.py tests/accounts/test_http.py",
        ("tokens: a refresh token opens the API", 'if payload["typ"] != "access":', "if False:"),
        (
            "tokens: an access token is refreshed",
            'if token.typ != "refresh" or user is None:',
            "if user is None:",
        ),
        ("tokens: an account that was shut goes on", "or not user.active or", "or"),
        (
            "tokens: a new password does not end the old tokens",
            " or token.pwd != fingerprint(user):",
            ":",
        ),
        (
            "tokens: an access token lives for 15 hours",
            "ACCESS, REFRESH = timedelta(minutes=15)",
            "ACCESS, REFRESH = timedelta(hours=15)",
        ),
        (
            "tokens: a refresh token lives for 8 days",
            "timedelta(minutes=15), timedelta(days=7)",
            "timedelta(minutes=15), timedelta(days=8)",
        ),
        ("tokens: an old one is good for an hour more", "LEEWAY = 10", "LEEWAY = 3600"),
        ("tokens: claims may be missing", '"require": CLAIMS, ', ""),
        (
            "tokens: of any audience",
            "audience=AUDIENCE,\n                    leeway",
            "audience=audience,\n                    leeway",
        ),
        (
            "tokens: reuse does not revoke the family",
            'await RefreshToken.delete().where(RefreshToken.family == row["family"])',
            "pass",
        ),
        ("tokens: reuse is not seen", "and await _has_heir(row, jti):", "and False:"),
        ("tokens: any second use is reuse", " and await _has_heir(row, jti):", ":"),
        (
            "tokens: two uses at the same time are reuse",
            "> timedelta(seconds=GRACE_SECONDS)",
            "> timedelta(0)",
        ),
        ("tokens: one that was replaced goes on", ".where(mine, valid)", ".where(mine)"),
        (
            "tokens: one that is in use ends when its parent comes again",
            "RefreshToken.jti == jti, RefreshToken.used_at.is_null()",
            "RefreshToken.jti == jti",
        ),
        (
            "tokens: a token has several successors",
            "await RefreshToken.update({RefreshToken.successor: _hash(successor)})",
            "RefreshToken.update({RefreshToken.successor: _hash(successor)})",
        ),
        ("tokens: they are remembered for ever", "if age >= self._longest or", "if"),
        (
            "tokens: an old check is believed after a change",
            "if checked < self._forgot:",
            "if False:",
        ),
        ("tokens: a revoked one opens the API for a second more", "known.forget(user)", "pass"),
        (
            "tokens: a remembered one does not expire",
            " or known.token.exp <= datetime.now(UTC):",
            ":",
        ),
    ),
    *at(
        "icecream/feed/publisher.py",
        "tests/feed/test_feed.py",
        ("feed: the publisher's bound is ignored", "if len(ids) >= MOST:", "if False:"),
        ("feed: two events have one position", "start=last + 1", "start=last"),
        (
            "feed: it is not told that there is more",
            "return len(done) < len(rows) or len(rows) == TRANSACTIONS",
            "return False",
        ),
    ),
    *at(
        "icecream/feed/events.py",
        "tests/feed/test_feed.py",
        ("feed: what was read is read again", "Event.position > after", "Event.position >= after"),
        ("feed: the last event is left out", "Event.position <= upto", "Event.position < upto"),
        (
            "feed: customers hear of the orders of others in the past",
            "if user is not None:\n        query",
            "if False:\n        query",
        ),
        (
            "feed: an event does not say what the order was then",
            'statuses[row["order"], row["seq"]]',
            '"pending"',
        ),
    ),
    *at(
        "icecream/feed/subscription.py",
        "tests/feed/test_feed.py",
        (
            "feed: customers hear of the orders of others",
            "if self._user in (None, one.data.user))",
            "if True)",
        ),
        ("feed: a stream hears of what it began beyond", "one.position > self.position]", "True]"),
        ("feed: who is too slow is never cut off", "if len(self._told) > ROOM:", "if False:"),
    ),
    *at(
        "icecream/feed/reader.py",
        "tests/feed/test_feed.py",
        (
            "feed: a stream begins when the service has stopped",
            "if self.closed:\n                raise",
            "if False:\n                raise",
        ),
    ),
    *at(
        "icecream/feed/publisher.py",
        "tests/feed/test_feed.py",
        (
            "feed: two publish at once",
            "heads = await database.unlocked(Feed.select(Feed.last))",
            "heads = await Feed.select(Feed.last)",
        ),
        database="postgres",
    ),
    *at(
        "icecream/feed/order_history.py",
        "tests/feed/test_order_history.py tests/payments/test_payments.py "
        "-k 'events or history or yes or no_fails'",
        (
            "history: each event is the first",
            "last[one.order] = last.get(one.order, 0) + 1",
            "last[one.order] = 1",
        ),
    ),
    *at(
        "icecream/feed/order_history.py",
        "tests/feed/test_order_history.py tests/demo/test_demo.py",
        ("history: all of it happens now", "one.at or at", "at"),
    ),
    *at(
        "icecream/integrity/doctor.py",
        "tests/integrity/test_doctor.py",
        (
            "doctor: one rule is not asked",
            "for rule, query in RULES.items()}",
            "for rule, query in list(RULES.items())[1:]}",
        ),
        ("doctor: a charge may be too small", "p.amount <> o.total", "p.amount > o.total"),
        (
            "doctor: a total may be too small",
            "o.total <> sum(l.quantity * l.unit_price)",
            "o.total > sum(l.quantity * l.unit_price)",
        ),
        ("doctor: a history may have gaps", " OR max(e.seq) <> count(e.id)", ""),
        ("doctor: the lines may sum up to something else", "o.refunded <> sum(l.refunded) OR", ""),
        (
            "doctor: totals are compared in one direction",
            ' UNION ALL SELECT * FROM ({stored} EXCEPT {recount}) b"',
            '"',
        ),
        (
            "doctor: totals that are not there are not missed",
            "SELECT * FROM ({recount} EXCEPT {stored}) a",
            "SELECT * FROM ({stored} EXCEPT {stored}) a",
        ),
        (
            "doctor: a line may give back more than it cost",
            " OR max(l.refunded - l.quantity * l.unit_price) > 0",
            "",
        ),
        (
            "doctor: more may be given back than was charged",
            "returned + requested > charged",
            "requested > charged",
        ),
        (
            "doctor: no payment that was sent is old",
            "-MIN_AGES[rule].total_seconds()",
            "-10_000 * MIN_AGES[rule].total_seconds()",
        ),
        ("doctor: a parked payment wants a job", ' if one != "parked")', ")"),
    ),
    *at(
        "icecream/integrity/repair.py",
        "tests/integrity/test_repair.py",
        (
            "repair: a repaired job is due in 2099",
            '"user", {database.NOW}, 0',
            "\"user\", '2099-01-01 00:00:00+00:00', 0",
        ),
        (
            "repair: a repaired job is due at once only after midnight",
            '"user", {database.NOW}, 0',
            "\"user\", strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), 0",
        ),
        ("repair: a repaired job forgets its customer", "p.id, o.", "p.id, NULL AS "),
        (
            "repair: the jobs of notices are deleted",
            "WHERE kind IN ('charge', 'refund') AND NOT EXISTS (",
            "WHERE NOT EXISTS (",
        ),
        ("repair: totals are counted twice", 'f"DELETE FROM {table}",', '"SELECT 1",'),
    ),
    *at(
        "icecream/integrity/doctor.py",
        "tests/payments/test_balances.py",
        ("doctor: what staff booked is a finding", "m.moved > m.amount", "m.moved < 0"),
    ),
    *at(
        "icecream/integrity/repair.py",
        "tests/integrity/test_repair.py",
        ("repair: a sequence stays where it is", "greatest(max(id)", "least(max(id)"),
        database="postgres",
    ),
    *at(
        TRANSACTIONS,
        "tests/database/test_database.py",
        (
            "transactions: a commit of unknown outcome is tried again",
            "raise Unsettled(f",
            "raise Again(f",
        ),
        ("transactions: nothing is tried again", "except Again:", "except ZeroDivisionError:"),
        ("transactions: it is tried once more than said", "range(TRIES - 1)", "range(TRIES)"),
        (
            "transactions: an error commits what was written before it",
            "if error is None else self._abandon()",
            "if True else self._abandon()",
        ),
    ),
    *at(
        TRANSACTIONS,
        "tests/database/test_database.py -k task",
        # With SQLite such a query waits forever.
        ("transactions: a query astray is let through", "raise StrayQuery", "pass"),
        database="postgres",
    ),
]
