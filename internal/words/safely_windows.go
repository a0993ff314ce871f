package words

const safely = 0
