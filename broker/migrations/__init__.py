"""How the store's tables came to be. `HEAD` names the newest; a store that names another is not touched."""

HEAD = "0001"
