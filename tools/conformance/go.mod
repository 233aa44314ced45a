module example.com/certscan/tools/conformance

go 1.26.0

require (
	example.com/certscan v0.0.0
	github.com/Netflix/bettertls v0.0.0-20250909192348-e1e99e353074
)

require (
	github.com/google/uuid v1.6.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.62.0 // indirect
)

replace example.com/certscan => ../..
