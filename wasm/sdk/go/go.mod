module ig

go 1.24
