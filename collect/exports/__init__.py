"""Picks in the forms that catalogues, locators and associators read."""
