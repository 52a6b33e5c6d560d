SELECT give_back(%(limit_name)s, %(client)s)
