FACTOR = 5 / 9


def celsius(fahrenheit):
    return round((fahrenheit - 32) * FACTOR, 2)
