module peerwasm

go 1.24
