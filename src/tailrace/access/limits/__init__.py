"""How much callers may use, and the counting of it.

`options` say it, `gcra` is the arithmetic, an `account` what one caller uses, `sharing` what all instances know of it
over a store (`log.quotas`), and the `limiter` decides who is let in.
"""
