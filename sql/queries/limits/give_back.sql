SELECT give_back(%(limit_name)s, lower(%(client)s))
