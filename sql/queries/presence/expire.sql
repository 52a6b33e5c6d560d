SELECT expire_presence()
