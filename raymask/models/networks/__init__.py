"""The networks themselves: layers, and where their first weights come from."""
