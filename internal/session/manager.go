package session

// Manager moves sessions.
type Manager struct{}
