package bbolt

const safely = 0
