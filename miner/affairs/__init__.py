"""The miners' own business: what their wallets hold and owe, collateral, being active."""
