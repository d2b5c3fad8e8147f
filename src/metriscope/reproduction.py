"""The paper's grid on whichever of its datasets can be had, beside what it printed."""
