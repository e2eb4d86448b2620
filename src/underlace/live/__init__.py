"""Live state: questions to devices through their agents, at the moment when somebody asks. Nothing is kept."""
