"""The upstream APIs, one provider class for each kind."""
