package calc

// Manager runs calculations.
type Manager struct{}
