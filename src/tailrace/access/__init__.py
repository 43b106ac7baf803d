"""Floor 3: who is calling, and what they may do.

`caller` is what all other floors ask about; `grants` what scopes allow. `keys`, `tokens` (with `jwks`) and
`tickets` (with `signing`) each turn one kind of credential into a caller, `authority` asks the right one of them.
`limits` counts what callers use. Nothing here knows of HTTP: where a credential stands in a request, and how a
refusal is answered, is the web floor's matter.
"""
