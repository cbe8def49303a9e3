// Package storetest holds the conformance suite of the store, and a store in
// memory that passes it too, for tests of the domain packages.
package storetest
